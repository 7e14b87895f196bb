// Package digitalocean makes a pool at DigitalOcean: of plain Droplets, which Flyball
// makes and ends itself; of a Droplet Autoscale Pool or of a node pool of Kubernetes,
// whose size it sets.
//
// All pools of one token are of one account ([Accounts]): they share the budget of
// calls, of which a part is kept for growth, and one list of all Droplets.
package digitalocean

// The tags of members beside that of their pool.
const (
	markTag    = "flyball"         // Flyball made it
	leavingTag = "flyball-leaving" // it was asked to end
	versionTag = "flyball-v-"      // and a hash: the template that it was made by
)
