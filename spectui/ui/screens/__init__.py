"""The screens: they arrange widgets and handle keys, and draw what views contain."""
