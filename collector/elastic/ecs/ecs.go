// Package ecs names, in the words of the Elastic Common Schema, where a document
// belongs and whom it is about.
package ecs

// Version is that of the schema.
const Version = "8.11.0"

// A Stream is a data stream.
type Stream struct{ Type, Dataset, Namespace string }

// Name is the data stream's: type-dataset-namespace.
func (s Stream) Name() string { return s.Type + "-" + s.Dataset + "-" + s.Namespace }

// An Agent is this program, as documents tell of it.
type Agent struct {
	ID      string // does not change over restarts
	Host    string // name of the machine that it runs on
	Version string
	Site    string // "" if there is none
}

// A Source is whom a document is about. Fields that are not known are "".
type Source struct {
	Host           string // host.name
	Address        string // service.address
	Service        string // service.name
	ContainerID    string // container.id
	ContainerName  string // container.name
	ContainerImage string // container.image.name
}
