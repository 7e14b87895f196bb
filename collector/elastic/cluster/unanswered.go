package cluster

import "errors"

// ErrUnanswered means that documents with an ID were sent and nobody said what
// became of them. [Cluster.Deliver] does not send them again: an ID is unique in
// one backing index only, so a rollover meanwhile would double them. Who called it
// looks up which are there. (Time series need no such care: their documents go to
// the backing index of their time.)
var ErrUnanswered = errors.New("request was not answered: look up which of its documents are there")
