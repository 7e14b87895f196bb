package process

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	gateName = "flyball-member" // argv[0] of a gate
	gateFile = 3                // its descriptor of the pipe
	gateOpen = '1'
)

// Gate must be the first call of main. In a process that a [Pool] started it
// waits for the word and becomes the member's command, or ends the process; it
// does not return. In any other process it does nothing.
func Gate() {
	if len(os.Args) < 3 || os.Args[0] != gateName {
		return
	}
	os.Exit(gate(os.Args[1], os.Args[2:]))
}

// gate returns a status only if the process does not become the command.
func gate(path string, argv []string) int {
	word := make([]byte, 1)
	if _, err := io.ReadFull(os.NewFile(gateFile, "gate"), word); err != nil || word[0] != gateOpen {
		return 0 // Flyball died before the pid was on disk
	}
	// Whatever else was inherited, a lock's descriptor above all, ends here.
	if err := unix.CloseRange(gateFile, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		unix.CloseOnExec(gateFile) // a kernel before 5.11; Go opens nothing without this flag
	}
	err := syscall.Exec(path, argv, os.Environ())
	fmt.Fprintf(os.Stderr, "flyball: start %s: %v\n", path, err)
	return 127
}
