package product

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// A Cursor is where a page of a store that lists by ID ended. Stores that page in
// another way make tokens of their own.
type Cursor struct {
	Type string // of the listing; "" is every type
	ID   string // last one given
}

// tokenForm is the version of a token's form and its first byte.
const tokenForm = "1"

// Token writes the cursor as a text that fits into a URL.
func (c Cursor) Token() string {
	return base64.RawURLEncoding.EncodeToString([]byte(tokenForm + c.ID + "\x00" + c.Type))
}

// ParseToken reads a cursor of a listing of a type, or fails with [ErrPageToken].
func ParseToken(token, typ string) (Cursor, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || !strings.HasPrefix(string(raw), tokenForm) {
		return Cursor{}, fmt.Errorf("parse page token: %w", ErrPageToken)
	}
	id, of, found := strings.Cut(string(raw[len(tokenForm):]), "\x00")
	if !found || !ValidID(id) || of != typ {
		return Cursor{}, fmt.Errorf("parse page token: %w", ErrPageToken)
	}
	return Cursor{Type: of, ID: id}, nil
}
