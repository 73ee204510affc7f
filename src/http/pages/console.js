// What makes the console quick; every page works without it.
