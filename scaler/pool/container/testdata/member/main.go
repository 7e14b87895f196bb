// Command member is a tiny server that tests run in containers. Its environment
// says how it behaves; GET /wishes tells how often it was asked to end.
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	if status, err := strconv.Atoi(os.Getenv("EXIT")); err == nil {
		os.Exit(status)
	}
	if os.Getenv("EAT") != "" {
		eat()
	}
	var wishes atomic.Int32
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		for range signals {
			wishes.Add(1)
			if os.Getenv("STUBBORN") == "" {
				os.Exit(0)
			}
		}
	}()
	http.HandleFunc("/wishes", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, wishes.Load()) })
	http.HandleFunc("/env", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, os.Getenv(r.URL.RawQuery)) })
	addr := ":8080"
	if len(os.Args) > 1 {
		addr = os.Args[1]
	}
	fmt.Println(http.ListenAndServe(addr, nil))
	os.Exit(3)
}

// eat takes memory until there is none.
func eat() {
	debug.SetGCPercent(-1)
	var all [][]byte
	for {
		page := make([]byte, 1<<20)
		for i := range page {
			page[i] = 1
		}
		all = append(all, page)
		if len(all) > 1024 {
			time.Sleep(time.Hour) // the limit does not hold
		}
	}
}
