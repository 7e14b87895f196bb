package container

// workers is how many calls to an engine are under way at once, at most.
const workers = 16
