package rules

import (
	"slices"
	"strings"
)

// Named is a member by both of its names: people know it by one, its provider by
// the other.
type Named struct {
	ID   MemberID `json:"id"`
	Name string   `json:"name"`
	Note string   `json:"note,omitempty"` // what was known of it, such as why it died
}

// NamesOf are the members with the given IDs, in that order. One that is not
// among the members has no name but its ID.
func NamesOf(ids []MemberID, members []Member) []Named {
	var out []Named
	for _, id := range ids {
		n := Named{ID: id, Name: string(id)}
		if i := slices.IndexFunc(members, func(m Member) bool { return m.ID == id }); i >= 0 {
			n.Name, n.Note = members[i].Name, brief(members[i].Note, mostNote)
		}
		out = append(out, n)
	}
	return out
}

// String is the name, with the ID where it says something else and what is known
// of the member: web-3 (500000015), web-3 (exit status 1).
func (n Named) String() string {
	about := []string{n.shortID(), n.Note}
	if strings.Contains(n.Note, about[0]) { // many notes begin with it
		about[0] = ""
	}
	about = slices.DeleteFunc(about, func(s string) bool { return s == "" })
	if len(about) == 0 {
		return n.Name
	}
	return n.Name + " (" + strings.Join(about, ", ") + ")"
}

// longestID is how long an ID is shown whole; the first 12 digits of a longer one,
// such as a container's, are enough to find it.
const longestID = 40

// shortID is the ID as it is shown; "" if it is made of the name.
func (n Named) shortID() string {
	id := string(n.ID)
	switch {
	case strings.HasPrefix(id, n.Name+".") || strings.HasSuffix(id, n.Name):
		return ""
	case len(id) > longestID:
		return id[:12]
	}
	return id
}
