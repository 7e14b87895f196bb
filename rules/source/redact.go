package source

import "regexp"

// A line of a file that is shown with a problem must not tell a secret: what
// stands after a name that says so, and passwords in addresses, are hidden.
var (
	secretName = regexp.MustCompile(`(?i)([\w-]*(?:password|passwd|secret|credentials|token|api_?key|access_key|private_key|dsn)["']?\s*[:=]\s*)([^\s#,}\]][^#,}\]]*)`)
	secretUser = regexp.MustCompile(`://[^/@\s"']+@`)
	quotedPart = regexp.MustCompile("`[^`]*`|\"[^\"]*\"")
)

// hidden stands where a secret stood.
const hidden = "<hidden>"

// redact hides a line's secrets.
func redact(line string) string {
	return secretUser.ReplaceAllString(secretName.ReplaceAllString(line, "${1}"+hidden), "://"+hidden+"@")
}

// redactAbout hides what an error quotes of a line that holds a secret.
func redactAbout(text, line string) string {
	if redact(line) == line {
		return text
	}
	return quotedPart.ReplaceAllString(text, hidden)
}
