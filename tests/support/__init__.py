"""What the tests stand on: real stores on private ports, our daemons, people who use them."""
