// Package query answers the signals of scale rules that are read from
// Elasticsearch.
package query
