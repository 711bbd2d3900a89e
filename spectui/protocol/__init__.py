"""What sources and screens exchange: events, samples and commands, and the channels that carry them."""
