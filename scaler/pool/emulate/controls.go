package emulate

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Controls serves, under /emulator/, what somebody does to a cloud by hand while it
// serves, and all else by the cloud's API: faults are listed, planted and healed, and
// a machine is destroyed behind everybody's back. No token is asked for, no fault
// befalls it, and it is not among [World.Requests]. Answers are lines of text.
func (w *World) Controls(api http.Handler, destroy func(name string) bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", api)
	mux.HandleFunc("GET /emulator/faults", w.listFaults)
	mux.HandleFunc("DELETE /emulator/faults", func(rw http.ResponseWriter, _ *http.Request) {
		w.Heal()
		fmt.Fprintln(rw, "all faults are healed")
	})
	mux.HandleFunc("PUT /emulator/faults/{name}", w.putFault)
	mux.HandleFunc("DELETE /emulator/faults/{name}", w.deleteFault)
	mux.HandleFunc("DELETE /emulator/machines/{name}", func(rw http.ResponseWriter, r *http.Request) {
		if name := r.PathValue("name"); destroy(name) {
			fmt.Fprintf(rw, "machine %s is destroyed\n", name)
		} else {
			http.Error(rw, fmt.Sprintf("there is no machine %s", name), http.StatusNotFound)
		}
	})
	mux.HandleFunc("/emulator/", func(rw http.ResponseWriter, _ *http.Request) {
		http.Error(rw, "there are GET and DELETE /emulator/faults, PUT /emulator/faults/error_500 and its like (body: the share, as 5%), DELETE of the same, and DELETE /emulator/machines/NAME", http.StatusNotFound)
	})
	return mux
}

// listFaults tells those that are planted, each in a line.
func (w *World) listFaults(rw http.ResponseWriter, _ *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.faults {
		fmt.Fprintf(rw, "%s, befell %d time(s)\n", p.Fault, p.befallen)
	}
	if len(w.faults) == 0 {
		fmt.Fprintln(rw, "no fault is planted")
	}
}

// putFault plants a fault in place of those of its name. What is said of it is the
// body, as 5%,times=3,on=POST /v2/droplets; without one it befalls all that it fits.
func (w *World) putFault(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, 1<<10))
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	text, said := r.PathValue("name"), strings.TrimSpace(string(body))
	first, _, _ := strings.Cut(said, ",")
	switch {
	case said == "":
	case strings.Contains(first, "="):
		text += "," + said
	default:
		text += "=" + said
	}
	f, err := ParseFault(text)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	w.Heal(f.Name)
	w.Plant(f)
	fmt.Fprintf(rw, "%s is planted\n", f)
}

// deleteFault heals what is planted of a name.
func (w *World) deleteFault(rw http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if w.Heal(name) == 0 {
		http.Error(rw, name+" is not planted", http.StatusNotFound)
		return
	}
	fmt.Fprintf(rw, "%s is healed\n", name)
}
