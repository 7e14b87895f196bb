// Package events sends the journal's entries to Elasticsearch, each as one ECS
// document, exactly once.
package events
