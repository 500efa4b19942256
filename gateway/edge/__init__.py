"""Between the network and the application: whose requests these are, and how much and how long they may take."""
