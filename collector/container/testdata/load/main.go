// Command load is a container's program that does as it is told: what it is
// started with, or over HTTP at :8080.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

func main() {
	args := os.Args[1:]
	if len(args) == 0 {
		args = []string{"serve"}
	}
	switch args[0] {
	case "exit":
		code, _ := strconv.Atoi(args[1])
		os.Exit(code)
	case "eat":
		eat(1 << 40)
	case "serve":
		fmt.Fprintln(os.Stderr, serve())
		os.Exit(1)
	}
}

// kept is memory that was eaten.
type kept [][]byte

func eat(size int) kept {
	var k kept
	for range size >> 20 {
		k = append(k, bytes.Repeat([]byte{1}, 1<<20))
	}
	return k
}

func serve() error {
	var all []kept
	http.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "load_up 1") })
	http.HandleFunc("POST /burn", func(_ http.ResponseWriter, r *http.Request) {
		d, _ := time.ParseDuration(r.FormValue("for"))
		for end := time.Now().Add(d); time.Now().Before(end); {
		}
	})
	http.HandleFunc("POST /eat", func(_ http.ResponseWriter, r *http.Request) {
		size, _ := strconv.Atoi(r.FormValue("bytes"))
		all = append(all, eat(size))
	})
	http.HandleFunc("POST /take", func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	return http.ListenAndServe(":8080", nil)
}
