"""Documentation pages that are made from the engine's own tables, and checks that pages and code name the same codes."""
