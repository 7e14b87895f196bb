package emulate_test

import (
	"strings"
	"testing"

	"flyball/scaler/pool/emulate"
)

func TestAFaultIsReadAsItIsWrittenByHand(t *testing.T) {
	for text, want := range map[string]emulate.Fault{
		"slow": {Name: "slow"},
		"lost_after,share=0.1,times=3,on=POST /v2/droplets": {Name: "lost_after", On: "POST /v2/droplets", Share: 0.1, Times: 3},
		"deaf,on=web-":          {Name: "deaf", On: "web-"},
		"error_500=5%":          {Name: "error_500", Share: 0.05},
		"error_500=0.5,times=1": {Name: "error_500", Share: 0.5, Times: 1},
	} {
		got, err := emulate.ParseFault(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if again, err := emulate.ParseFault(got.String()); err != nil || again != want {
			t.Errorf("%s is written %s, and that is read as %+v, %v", text, got, again, err)
		}
	}
	for text, says := range map[string]string{
		"":                "there are error_500",
		"slwo":            "there are error_500",
		"slow,share=0":    "above 0",
		"slow,share=1.1":  "up to 1",
		"slow,share=NaN":  "up to 1",
		"slow,times=none": "from 1 on",
		"slow,often":      "write on=, share= or times=",
		"slow,":           "write on=, share= or times=",
		"slow=":           "up to 1",
		"slow=0":          "above 0",
		"slow=101%":       "up to 1",
		"slow=-1%":        "above 0",
		"slow=2":          "up to 1",
		"slow=x":          "up to 1",
	} {
		if _, err := emulate.ParseFault(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzParseFault(f *testing.F) {
	f.Add("lost_after,share=0.1,times=3,on=POST /v2/droplets")
	f.Add("slow,share=1e-300")
	f.Add("error_500=5%,times=1")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := emulate.ParseFault(text)
		if err != nil {
			return
		}
		if emulate.About(got.Name) == "" || got.Share < 0 || got.Share > 1 || got.Times < 0 {
			t.Errorf("%q is read as %+v", text, got)
		}
		emulate.NewWorld(emulate.Options{}).Plant(got)
	})
}
