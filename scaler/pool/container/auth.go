package container

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/registry"
)

// authFor returns what the engine needs to say to an image's registry; "" where no
// file is named, or the file does not know the registry.
func authFor(image, file string) (string, error) {
	if file == "" {
		return "", nil
	}
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", fmt.Errorf("find registry of image %s: %w", image, err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read passwords of registries: %w", err)
	}
	auth, ok, err := credentials(raw, reference.Domain(named))
	if err != nil {
		return "", fmt.Errorf("read password of registry %s in %s: %w", reference.Domain(named), file, err)
	}
	if !ok {
		return "", nil
	}
	return authconfig.Encode(auth)
}

// dockerHub is how the file of docker login calls docker.io.
const dockerHub = "https://index.docker.io/v1/"

// errHelper means that a password is not in the file.
var errHelper = errors.New("the password is kept by a credential helper: docker login with a file of its own (DOCKER_CONFIG) writes it into that one")

// credentials finds a registry's in the file of docker login. Errors tell nothing
// of what is in it.
func credentials(raw []byte, domain string) (auth registry.AuthConfig, ok bool, err error) {
	var file struct {
		Auths map[string]struct {
			Auth          string `json:"auth"`
			IdentityToken string `json:"identitytoken"`
		} `json:"auths"`
		CredsStore  string            `json:"credsStore"`
		CredHelpers map[string]string `json:"credHelpers"`
	}
	if json.Unmarshal(raw, &file) != nil {
		return auth, false, errors.New("this is no file of docker login")
	}
	keys := []string{domain, "https://" + domain, "https://" + domain + "/", "https://" + domain + "/v1/", "https://" + domain + "/v2/"}
	if domain == "docker.io" {
		keys = append(keys, dockerHub)
	}
	for _, key := range keys {
		entry, there := file.Auths[key]
		switch {
		case file.CredHelpers[key] != "" || there && entry.Auth == "" && entry.IdentityToken == "":
			return auth, false, errHelper
		case !there:
			continue
		}
		plain, err := base64.StdEncoding.DecodeString(entry.Auth)
		user, password, colon := strings.Cut(string(plain), ":")
		if err != nil || !colon && entry.IdentityToken == "" {
			return auth, false, errors.New("what is there is no user with a password")
		}
		return registry.AuthConfig{
			Username: user, Password: password, IdentityToken: entry.IdentityToken, ServerAddress: key,
		}, true, nil
	}
	return auth, false, nil
}
