"""What ``codeclm bench`` measures: this machine, and an endpoint."""
