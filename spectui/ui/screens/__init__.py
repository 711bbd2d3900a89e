"""The screens: they arrange widgets and follow keys; what is drawn comes from views."""
