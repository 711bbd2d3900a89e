"""End-to-end tests on the real engine and the real demo target."""
