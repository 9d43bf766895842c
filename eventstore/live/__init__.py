"""Live events over WebSockets: clients follow a part of the log as it grows."""
