"""From the changes of registries to one ordered stream of facts, with the catalog beside it."""
