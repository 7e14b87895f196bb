// Package chaos holds no code but tests: pools at emulated clouds, driven by the
// whole loop of [scaler.Scaler] in simulated time while everything fails that can,
// and Flyball itself is killed at any boundary.
//
// A run is made by its seed alone. A bounded sample of runs is part of the ordinary
// tests; `make chaos` does ten thousand, and
//
//	go test ./scaler/pool/chaos -run Chaos -chaos.runs 1 -chaos.seed 4711 -v
//
// does one again, with all that was said. The package also names, for each of the
// failure modes that a pool in a cloud has, the test that holds it.
package chaos
