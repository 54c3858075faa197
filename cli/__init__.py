"""One module per administrative command: it reads its arguments, calls one service, and prints."""
