"""The documentation site: the pages of docs/, and those that antsibull-docs makes of modules, roles and plugins."""
