package cassandra

import (
	"os"
	"testing"

	"flyball/deploy/testservers"
)

func TestMain(m *testing.M) { os.Exit(testservers.Main(m)) }

type servers = testservers.Cassandra

// shared is the node that all tests have in common.
func shared(t testing.TB) *servers {
	t.Helper()
	return testservers.SharedCassandra(t)
}

// start starts nodes of the test's own.
func start(t testing.TB, nodes int, auth bool) *servers {
	t.Helper()
	return testservers.StartCassandra(t, testservers.CassandraOptions{Nodes: nodes, Auth: auth})
}
