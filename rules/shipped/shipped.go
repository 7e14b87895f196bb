// Package shipped holds the rules that come with Flyball: Prometheus rule groups,
// a file a kind of thing that is watched, each beside its `promtool test rules`
// test. They are few, and each says what to do. A rule whose metrics nobody gives
// costs next to nothing, so all are in force whatever is watched.
package shipped

import (
	"embed"
	"io/fs"
)

//go:embed *.rules.yaml
var files embed.FS

// Files has the rule files, in its root.
func Files() fs.FS { return files }
