//go:build !race

package chaos

// raceEnabled: everything takes ten times as long.
const raceEnabled = false
