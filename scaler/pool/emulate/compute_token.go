package emulate

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// tokenLife is how long a token is good that was given for a service account's
// assertion.
const tokenLife = time.Hour

// WriteCredentials writes the file of a service account whose key is made now, and
// which gets its tokens at endpoint + "/token", as http://localhost:8080. Its key is
// known to this Compute from now on. The file is for the owner's eyes only.
func (c *Compute) WriteCredentials(file, endpoint string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("make a key for %s: %w", file, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("write a key for %s: %w", file, err)
	}
	c.w.mu.Lock()
	c.keys = append(c.keys, &key.PublicKey)
	id := fmt.Sprintf("%040x", len(c.keys))
	c.w.mu.Unlock()
	body, err := json.MarshalIndent(map[string]string{
		"type": "service_account", "project_id": c.o.Project, "private_key_id": id,
		"private_key":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"client_email": c.account(), "client_id": "100000000000000000000",
		"auth_uri": strings.TrimSuffix(endpoint, "/") + "/auth", "token_uri": strings.TrimSuffix(endpoint, "/") + "/token",
		"universe_domain": "googleapis.com",
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := os.WriteFile(file, append(body, '\n'), 0o600); err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	return nil
}

// account is the service account's name.
func (c *Compute) account() string { return "flyball@" + c.o.Project + ".iam.gserviceaccount.com" }

// accepts says whether a bearer token is good: that of the options, or one that was
// given and has not expired. Where the options have none, any is that was never given.
func (c *Compute) accepts(token string) bool {
	if expires, given := c.issued[token]; given {
		return c.w.at.Before(expires)
	}
	return c.o.Token == "" || token == c.o.Token
}

// giveToken gives a token for an assertion (RFC 7523) that one of our keys signed.
func (c *Compute) giveToken(rw http.ResponseWriter, r *http.Request) {
	err := r.ParseForm()
	if err == nil && r.PostForm.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		err = errors.New("the grant type is not that of an assertion")
	}
	if err == nil {
		err = c.verify(r.PostForm.Get("assertion"))
	}
	if err != nil {
		writeJSON(rw, http.StatusBadRequest, map[string]string{"error": "invalid_grant", "error_description": err.Error()})
		return
	}
	token := fmt.Sprintf("ya29.%016x", c.w.dice("token").Uint64())
	c.issued[token] = c.w.at.Add(tokenLife)
	writeJSON(rw, http.StatusOK, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": int(tokenLife.Seconds()) - 1})
}

// verify checks an assertion's signature, its issuer and its time, with five minutes
// of grace for clocks.
func (c *Compute) verify(assertion string) error {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return errors.New("the assertion is no JWT")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return errors.New("the assertion's signature is no base64")
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !slices.ContainsFunc(c.keys, func(k *rsa.PublicKey) bool {
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], signature) == nil
	}) {
		return errors.New("the assertion is not signed by a key that is known")
	}
	var claims struct {
		Iss string
		Iat int64
		Exp int64
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(body, &claims)
	}
	const grace = 5 * 60
	now := c.w.at.Unix()
	if err != nil || claims.Iss != c.account() || claims.Iat > now+grace || claims.Exp < now-grace {
		return errors.New("the assertion is not of the account, or not of now")
	}
	return nil
}
