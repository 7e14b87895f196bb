package source

import "strings"

// checkFilter finds what can be seen to be wrong with a filter in Lucene's query
// syntax without asking Elasticsearch: what is open and never closed, what is
// closed and never opened, a field or an operator that nothing follows, and the
// operators of other languages, which Lucene takes for words to look for.
func (l *loader) checkFilter(text, path string) {
	if Spoilt(l.spoilt, path) {
		return
	}
	if strings.TrimSpace(text) == "" {
		l.wrong(path, "is empty", "leave filter out to have all documents")
		return
	}
	f := filter{text: text}
	if m := f.check(); m != nil {
		l.inside(path, text, f.at, m.Text, m.Hint)
	}
}

// filter reads a filter from left to right. At a mistake it stops, and at is its place.
type filter struct {
	text string
	at   int
	open []int // where parentheses were opened
	// want is where a term must follow, and why: "" if none must.
	want   string
	wantAt int
	began  bool // a term stands before, in these parentheses
}

func (f *filter) wrong(at int, text, hint string) *Mistake {
	f.at = at
	return &Mistake{text, hint}
}

// check reads all of it.
func (f *filter) check() *Mistake {
	for f.at < len(f.text) {
		if m := f.next(); m != nil {
			return m
		}
	}
	if n := len(f.open); n > 0 {
		return f.wrong(f.open[n-1], "the parenthesis is not closed", "write ), or \\( to look for the character")
	}
	return f.lacking()
}

// lacking is the mistake of a place where a term must follow.
func (f *filter) lacking() *Mistake {
	if f.want == "" {
		return nil
	}
	return f.wrong(f.wantAt, "nothing follows "+f.want, "write a term after it, or take it away")
}

// next reads one part.
func (f *filter) next() *Mistake {
	switch c := f.text[f.at]; c {
	case ' ', '\t', '\n', '\r':
		f.at++
	case '"':
		return f.upTo('"', "quote")
	case '/':
		return f.upTo('/', "regular expression")
	case '[', '{':
		return f.between()
	case ']', '}':
		return f.wrong(f.at, "a range ends that did not begin", "write e.g. [1 TO 5], or \\"+string(c)+" to look for the character")
	case '(':
		f.open, f.want, f.began = append(f.open, f.at), "", false
		f.at++
	case ')':
		return f.close()
	case ':':
		return f.wrong(f.at, "no field stands before the colon", "write field: value, or \\: to look for the character")
	case '+', '-', '!':
		f.sign(c)
	default:
		return f.word()
	}
	return nil
}

// term notes that a term was read.
func (f *filter) term() { f.want, f.began = "", true }

// upTo reads up to the sign that closes what the same one opened.
func (f *filter) upTo(end byte, name string) *Mistake {
	for i := f.at + 1; i < len(f.text); i++ {
		switch f.text[i] {
		case '\\':
			i++
		case end:
			f.at = i + 1
			f.term()
			return nil
		}
	}
	return f.wrong(f.at, "the "+name+" is not closed", "close it with "+string(end)+", or write \\"+string(end)+" to look for the character")
}

// between reads a range.
func (f *filter) between() *Mistake {
	begin := f.at
	for i := begin + 1; i < len(f.text); i++ {
		switch f.text[i] {
		case '\\':
			i++
		case '"':
			i += 1 + max(-1, strings.IndexByte(f.text[i+1:], '"')) // one that is not closed is a sign like others
		case ']', '}':
			if parts := strings.Fields(f.text[begin+1 : i]); len(parts) < 3 || parts[0] == "TO" || parts[len(parts)-1] == "TO" {
				return f.wrong(begin, "the range lacks one of its ends", "write e.g. [1 TO 5], [1 TO *] or {1 TO 5}")
			}
			f.at = i + 1
			f.term()
			return nil
		}
	}
	return f.wrong(begin, "the range is not closed", "write e.g. [1 TO 5], or \\"+f.text[begin:begin+1]+" to look for the character")
}

// close reads a closing parenthesis.
func (f *filter) close() *Mistake {
	if len(f.open) == 0 {
		return f.wrong(f.at, "a parenthesis is closed that was not opened", "take it away, or write \\) to look for the character")
	}
	if m := f.lacking(); m != nil {
		return m
	}
	if !f.began {
		return f.wrong(f.open[len(f.open)-1], "the parentheses are empty", "write a term between them, or take them away")
	}
	f.open = f.open[:len(f.open)-1]
	f.at++
	f.term()
	return nil
}

// sign reads a sign before a term. One that stands alone is a term itself.
func (f *filter) sign(c byte) {
	f.want, f.wantAt = string(c), f.at
	f.at++
	if f.at < len(f.text) && strings.IndexByte(" \t\r\n", f.text[f.at]) >= 0 {
		f.term()
	}
}

// operator notes that something must stand before and after.
func (f *filter) operator(name string, at int) *Mistake {
	if f.want != "" {
		return f.lacking()
	}
	if !f.began {
		return f.wrong(at, "nothing stands before "+name, "write a term before it, or take it away")
	}
	f.want, f.wantAt = name, at
	return nil
}

// word reads a word: an operator, a field, or a term.
func (f *filter) word() *Mistake {
	begin := f.at
	for f.at < len(f.text) && strings.IndexByte(" \t\r\n\"()[]{}:/", f.text[f.at]) < 0 {
		if f.text[f.at] == '\\' {
			f.at++
		}
		f.at++
	}
	if f.at > len(f.text) {
		return f.wrong(len(f.text)-1, "nothing follows the backslash", `write \\ to look for the character`)
	}
	w := f.text[begin:f.at]
	switch w {
	case "AND", "OR", "&&", "||":
		return f.operator(w, begin)
	case "NOT":
		f.want, f.wantAt = w, begin
		return nil
	case "and", "or", "not":
		return f.wrong(begin, "Lucene takes "+w+" for a word to look for", "write "+strings.ToUpper(w)+", or put the word into quotes")
	}
	if rest := strings.TrimLeft(f.text[f.at:], " \t\r\n"); strings.HasPrefix(rest, ":") {
		if f.want == "a colon" {
			return f.wrong(len(f.text)-len(rest), "a second colon", "put a value that holds a colon into quotes")
		}
		f.want, f.wantAt = "a colon", len(f.text)-len(rest)
		f.at = len(f.text) - len(rest) + 1
		return nil
	}
	f.term()
	return nil
}
