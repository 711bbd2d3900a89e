"""The recipe of the demo drafters: an MTP head and a DFlash drafter for the demo target, trained on its own answers."""
