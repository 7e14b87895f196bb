package digitalocean

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/digitalocean/godo"
)

// image finds what the configuration calls the image: a number, the account's own image
// of that name, or else a slug. What is found is what looks believe from then on.
func (a *account) image(ctx context.Context, name string, regions []string) (godo.DropletCreateImage, error) {
	if byNumber(name) {
		return imageOf(name, regions, nil), nil
	}
	images, err := listed(ctx, a.write.Images.ListUser)
	if err != nil {
		return godo.DropletCreateImage{}, explain("find image "+name, err)
	}
	a.fleet.learn(func(k *limitsKnown) { k.images, k.imagesRead = images, true })
	return imageOf(name, regions, images), nil
}

// imageOf finds what a name means among the account's own images: of several of that
// name the newest that is to be had in all of the regions; as long as there is none,
// the newest of those that are to be had in some.
func imageOf(name string, regions []string, images []godo.Image) godo.DropletCreateImage {
	if byNumber(name) {
		id, _ := strconv.Atoi(name)
		return godo.DropletCreateImage{ID: id}
	}
	var best *godo.Image
	most := -1
	for _, i := range images {
		n := placesOf(i, regions)
		if i.Name == name && (n > most || n == most && i.Created > best.Created) {
			best, most = &i, n
		}
	}
	if best == nil {
		return godo.DropletCreateImage{Slug: name}
	}
	return godo.DropletCreateImage{ID: best.ID}
}

// placesOf ranks an image by where it is to be had: 2 in all of the regions, 1 in some,
// 0 nowhere, for it is in the making or on its way.
func placesOf(i godo.Image, regions []string) int {
	in := func(region string) bool {
		return slices.ContainsFunc(i.Regions, func(slug string) bool { return standsFor(region, slug) })
	}
	switch {
	case i.Status != "" && !strings.EqualFold(i.Status, "available") || !slices.ContainsFunc(regions, in):
		return 0
	case slices.ContainsFunc(regions, func(r string) bool { return !in(r) }):
		return 1
	default:
		return 2
	}
}

// byNumber reports whether an image is called by its number.
func byNumber(name string) bool {
	_, err := strconv.Atoi(name)
	return err == nil
}

// nameOf is what an image is told apart by: its number, or the slug that was written.
func nameOf(i godo.DropletCreateImage) string {
	if i.ID != 0 {
		return strconv.Itoa(i.ID)
	}
	return i.Slug
}
