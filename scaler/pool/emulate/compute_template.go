package emulate

import (
	"fmt"
	"net/http"

	compute "google.golang.org/api/compute/v1"
)

// insertTemplate makes a template, which is there when its operation runs. Its
// properties are taken as they are; a machine type that there is not is found when a
// member is made of it.
func (c *Compute) insertTemplate(r *http.Request) (any, error) {
	t := &compute.InstanceTemplate{}
	if err := readJSON(r, t); err != nil {
		return nil, err
	}
	name := "projects/" + c.o.Project + "/global/instanceTemplates/" + t.Name
	check := func() error {
		switch {
		case !namePattern.MatchString(t.Name):
			return invalid("Invalid value for field 'resource.name': '%s'. Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'", t.Name)
		case t.Properties == nil || t.Properties.MachineType == "":
			return invalid("Invalid value for field 'resource.properties.machineType': ''. A machine type is required.")
		case c.template(t.Name) != nil:
			return &computeError{http.StatusConflict, "alreadyExists", fmt.Sprintf("The resource '%s' already exists", name)}
		}
		return nil
	}
	t.Kind, t.Id, t.CreationTimestamp, t.SelfLink = "compute#instanceTemplate", c.id(), stamp(c.w.at), c.link("global/instanceTemplates", t.Name)
	o := operation{kind: "insert", target: t.SelfLink, targetID: t.Id, in: place{kind: "global"}, apply: func() *failure {
		if c.template(t.Name) != nil {
			return &failure{"RESOURCE_ALREADY_EXISTS", fmt.Sprintf("The resource '%s' already exists", name)}
		}
		c.templates = append(c.templates, t)
		return nil
	}}
	return c.operate(r, o, check)
}

// userData is the metadata of that name; "": there is none.
func userData(t *compute.InstanceTemplate) string {
	if t.Properties.Metadata == nil {
		return ""
	}
	for _, i := range t.Properties.Metadata.Items {
		if i != nil && i.Key == "user-data" && i.Value != nil {
			return *i.Value
		}
	}
	return ""
}
