// Package testservers starts real servers on loopback for tests and demos:
// PostgreSQL with a standby, Cassandra, Elasticsearch, HAProxy and a container
// engine. It stands on the standard library alone, so that whoever tests with it
// takes nothing else in.
package testservers
