package container

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// fetchTime bounds how long an image may take from its registry.
const fetchTime = 15 * time.Minute

// fetch is one image on its way. It outlasts the step that began it, for an image
// may take longer than a step may.
type fetch struct {
	began time.Time
	done  chan struct{} // closed when err is final
	err   error
}

// haveImage returns nil when the engine has the image.
func (p *Pool) haveImage(ctx context.Context) error {
	if p.cfg.Pull == pullAlways {
		return p.await(ctx)
	}
	_, err := p.engine.ImageInspect(ctx, p.cfg.Image)
	switch {
	case err == nil:
		return nil
	case !errdefs.IsNotFound(err):
		return explain("look for image "+p.cfg.Image, err)
	case p.cfg.Pull == pullNever:
		return fmt.Errorf("the engine has no image %s, and pull is never: build or pull it there, or write pull: missing", p.cfg.Image)
	}
	return p.await(ctx)
}

// await waits for the image. A fetch that an earlier step began is waited for, and
// its failure told, before there is another one.
func (p *Pool) await(ctx context.Context) error {
	p.mu.Lock()
	if p.fetching == nil {
		p.fetching = &fetch{began: p.now(), done: make(chan struct{})}
		go p.fetch(p.fetching)
	}
	f := p.fetching
	p.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
		return fmt.Errorf("fetch image %s: not there after %s, and fetched on: %w", p.cfg.Image, p.now().Sub(f.began).Round(time.Second), ctx.Err())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fetching == f {
		p.fetching = nil
	}
	return f.err
}

// fetch has the engine fetch the image.
func (p *Pool) fetch(f *fetch) {
	defer close(f.done)
	ctx, cancel := context.WithTimeout(context.Background(), fetchTime)
	defer cancel()
	p.log.Info("image is being fetched", "image", p.cfg.Image)
	if err := p.pull(ctx); err != nil {
		f.err = explain("fetch image "+p.cfg.Image, err)
		return
	}
	p.log.Info("image is there", "image", p.cfg.Image, "after", p.now().Sub(f.began))
}

func (p *Pool) pull(ctx context.Context) error {
	auth, err := authFor(p.cfg.Image, p.cfg.AuthFile)
	if err != nil {
		return err
	}
	res, err := p.engine.ImagePull(ctx, p.cfg.Image, client.ImagePullOptions{RegistryAuth: auth})
	if err != nil {
		return err
	}
	return res.Wait(ctx) // closes it, too
}
