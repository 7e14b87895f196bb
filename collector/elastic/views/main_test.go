package views

import (
	"os"
	"testing"

	"flyball/deploy/testservers"
)

func TestMain(m *testing.M) { os.Exit(testservers.Main(m)) }
