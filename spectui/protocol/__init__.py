"""What sources and screens say to each other: events, samples, commands, and the ways they travel."""
