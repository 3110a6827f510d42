"""Control loops: each watches what is, and moves it towards what is asked for."""
