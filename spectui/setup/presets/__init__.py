"""Presets: models that people race, by name, as data. The files beside this one ship; users add their own."""
