// Package elastic keeps an Elasticsearch supplied with samples, datasets and
// events, and tells how far it is.
package elastic
