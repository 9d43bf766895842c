"""The log as it grows, told to whoever follows a part of it over a WebSocket."""
