// What golang-jwt says of tokens. Standard input: the key set, the time, then a token a line; for each "ok" or why not.
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

type keySet struct {
	Keys []struct{ Kid, X, Y string }
}

func number(text string) *big.Int {
	bytes, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return new(big.Int).SetBytes(bytes)
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<20)
	lines.Scan()
	var set keySet
	if err := json.Unmarshal(lines.Bytes(), &set); err != nil {
		panic(err)
	}
	lines.Scan()
	seconds, _ := strconv.ParseInt(lines.Text(), 10, 64)
	now := time.Unix(seconds, 0)
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer("salus"), jwt.WithAudience("salus"),
		jwt.WithLeeway(30*time.Second), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(func() time.Time { return now }))
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for lines.Scan() {
		_, err := parser.Parse(lines.Text(), func(token *jwt.Token) (interface{}, error) {
			for _, key := range set.Keys {
				if key.Kid == token.Header["kid"] {
					return &ecdsa.PublicKey{Curve: elliptic.P256(), X: number(key.X), Y: number(key.Y)}, nil
				}
			}
			return nil, fmt.Errorf("unknown key")
		})
		if err != nil {
			fmt.Fprintln(out, strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Fprintln(out, "ok")
		}
	}
}
