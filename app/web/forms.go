package web

import (
	"errors"
	"net/http"
	"strings"

	"flyball/app/product"
)

// editView is what edit.html shows.
type editView struct {
	frame
	ID      string // "" for a new product
	Action  string
	Version string // that the form was made of
	Form    form
	Wrong   string              // why nothing was saved
	Faults  map[string][]string // by field
	Theirs  *product.Product    // what is stored now, if it is not what the form was made of
}

// form is what a person typed.
type form struct{ Type, Name, Parameters string }

func (f form) product() (product.Product, error) {
	ps, err := product.ParseParameters(f.Parameters)
	if err != nil {
		return product.Product{}, err
	}
	return product.Product{Type: strings.TrimSpace(f.Type), Name: strings.TrimSpace(f.Name), Parameters: ps}, nil
}

func readForm(r *http.Request) (f form, version string, err error) {
	if err := r.ParseForm(); err != nil {
		return form{}, "", badRequest("The form could not be read.")
	}
	return form{r.PostForm.Get("type"), r.PostForm.Get("name"), r.PostForm.Get("parameters")}, r.PostForm.Get("version"), nil
}

func (s *Service) newView() editView {
	return editView{frame: frame{Title: "New product", Style: s.pages.style}, Action: "/new"}
}

func (s *Service) editView(p product.Product) editView {
	return editView{
		frame:   frame{Title: "Edit " + p.Name, Style: s.pages.style},
		ID:      p.ID,
		Action:  "/edit/" + p.ID,
		Version: p.Version,
		Form:    form{p.Type, p.Name, p.Parameters.Text()},
	}
}

// wrong shows a form again with what is wrong with it, or another error as a page.
func (s *Service) wrong(w http.ResponseWriter, r *http.Request, v editView, err error) {
	var faults product.Faults
	if !errors.As(err, &faults) {
		s.problemPage(w, r, err)
		return
	}
	v.Wrong = "Please correct what is marked below."
	v.Faults = map[string][]string{}
	for _, f := range faults {
		field, name, inner := strings.Cut(f.Field, "/")
		text := f.Detail
		if inner {
			text = name + " " + text
		}
		v.Faults[field] = append(v.Faults[field], text)
	}
	s.show(w, r, http.StatusUnprocessableEntity, "edit", v)
}

func (s *Service) newPage(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusOK, "edit", s.newView())
}

func (s *Service) createForm(w http.ResponseWriter, r *http.Request) {
	f, _, err := readForm(r)
	if err != nil {
		s.problemPage(w, r, err)
		return
	}
	p, err := f.product()
	if err == nil {
		p.ID = product.NewID(s.now())
		_, err = s.keepNew(r.Context(), p)
	}
	if err != nil {
		v := s.newView()
		v.Form = f
		s.wrong(w, r, v, err)
		return
	}
	http.Redirect(w, r, "/?done=created", http.StatusSeeOther)
}

func (s *Service) editPage(w http.ResponseWriter, r *http.Request) {
	p, err := s.store.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		s.problemPage(w, r, err)
		return
	}
	s.show(w, r, http.StatusOK, "edit", s.editView(p))
}

func (s *Service) updateForm(w http.ResponseWriter, r *http.Request) {
	f, version, err := readForm(r)
	if err == nil && version == "" {
		err = badRequest("The form does not say which version of the product it changes.")
	}
	if err != nil {
		s.problemPage(w, r, err)
		return
	}
	p, err := f.product()
	p.ID, p.Version = r.PathValue("id"), version
	if err == nil {
		_, err = s.keepChanged(r.Context(), p)
	}
	switch {
	case err == nil:
		http.Redirect(w, r, "/?done=saved", http.StatusSeeOther)
	case errors.Is(err, product.ErrConflict):
		s.conflict(w, r, &f)
	default:
		v := s.editView(p)
		v.Title, v.Form = "Edit product", f
		s.wrong(w, r, v, err)
	}
}

func (s *Service) deleteForm(w http.ResponseWriter, r *http.Request) {
	_, version, err := readForm(r)
	if err == nil && version == "" {
		err = badRequest("The form does not say which version of the product it deletes.")
	}
	if err == nil {
		err = s.store.Delete(r.Context(), r.PathValue("id"), version)
	}
	switch {
	case err == nil:
		http.Redirect(w, r, "/?done=deleted", http.StatusSeeOther)
	case errors.Is(err, product.ErrConflict):
		s.conflict(w, r, nil)
	default:
		s.problemPage(w, r, err)
	}
}

// conflict shows what is stored now beside what a person wanted to save. What the
// form then saves replaces the version that is shown, and no later one.
func (s *Service) conflict(w http.ResponseWriter, r *http.Request, mine *form) {
	p, err := s.store.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		s.problemPage(w, r, err)
		return
	}
	v := s.editView(p)
	v.Theirs = &p
	if mine != nil {
		v.Form = *mine
	}
	s.show(w, r, http.StatusConflict, "edit", v)
}
