package detect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// gcp is the metadata server of Google Cloud.
type gcp struct {
	*Host
	ctx context.Context
	url string
}

func (h *Host) gcp(ctx context.Context) gcp {
	return gcp{h, ctx, "http://" + cmp.Or(h.env("GCE_METADATA_HOST"), "169.254.169.254") + "/computeMetadata/v1/"}
}

// get returns a value. Other services at the same address do not answer with the header.
func (g gcp) get(path string) (string, error) {
	body, header, err := g.do(g.ctx, g.Web, http.MethodGet, g.url+path, map[string]string{"Metadata-Flavor": "Google"})
	if err == nil && header.Get("Metadata-Flavor") != "Google" {
		err = fmt.Errorf("%s does not answer as the metadata server of Google Cloud", g.url)
	}
	return strings.TrimSpace(string(body)), err
}

// last returns the part of a value behind the last slash.
func (g gcp) last(path string) (string, error) {
	v, err := g.get(path)
	return v[strings.LastIndex(v, "/")+1:], err
}

func detectGCP(ctx context.Context, h *Host, _ Options, r *Resource) error {
	if id := h.env("BMS_INSTANCE_ID"); id != "" && h.env("BMS_REGION") != "" && h.env("BMS_PROJECT_ID") != "" {
		r.setAll("cloud.provider", "gcp", "cloud.account.id", h.env("BMS_PROJECT_ID"), "cloud.platform", "gcp_bare_metal_solution",
			"host.name", id, "cloud.region", h.env("BMS_REGION"))
		return nil
	}
	g := h.gcp(ctx)
	project, err := g.get("project/project-id")
	if err != nil {
		return notHere("ask the metadata server of Google Cloud: %w", err)
	}
	r.setAll("cloud.provider", "gcp", "cloud.account.id", project)
	return g.platform(r)
}

// platform sets the attributes of the service of Google Cloud that the process runs on.
func (g gcp) platform(r *Resource) error {
	if _, ok := g.LookupEnv("KUBERNETES_SERVICE_HOST"); ok {
		if location, err := g.get("instance/attributes/cluster-location"); err == nil {
			return g.kubernetes(r, location)
		}
	}
	for _, p := range []struct {
		variable, platform, name, version, instance string
		zone                                        bool
	}{
		{"FUNCTION_TARGET", "gcp_cloud_functions", "K_SERVICE", "K_REVISION", "", false},
		{"K_CONFIGURATION", "gcp_cloud_run", "K_SERVICE", "K_REVISION", "", false},
		{"CLOUD_RUN_JOB", "gcp_cloud_run", "CLOUD_RUN_JOB", "", "", false},
		{"CLOUD_RUN_WORKER_POOL", "gcp_cloud_run", "CLOUD_RUN_WORKER_POOL", "CLOUD_RUN_REVISION", "", false},
		{"GAE_SERVICE", "gcp_app_engine", "GAE_SERVICE", "GAE_VERSION", "GAE_INSTANCE", true},
	} {
		if _, ok := g.LookupEnv(p.variable); !ok {
			continue
		}
		r.Set("cloud.platform", p.platform)
		g.setFromEnv(r, "faas.name", p.name, "faas.version", p.version, "faas.instance", p.instance)
		if p.variable == "CLOUD_RUN_JOB" {
			g.setFromEnv(r, "gcp.cloud_run.job.execution", "CLOUD_RUN_EXECUTION", "gcp.cloud_run.job.task_index", "CLOUD_RUN_TASK_INDEX")
		}
		return g.function(r, p.instance == "", p.zone)
	}
	return g.machine(r)
}

func (g gcp) kubernetes(r *Resource, location string) error {
	r.Set("cloud.platform", "gcp_kubernetes_engine")
	var problem error
	switch strings.Count(location, "-") {
	case 1:
		r.Set("cloud.region", location)
	case 2:
		r.setAll("cloud.availability_zone", location, "cloud.region", location[:strings.LastIndex(location, "-")])
	default:
		problem = fmt.Errorf("expected the location of the cluster to be a zone or a region, found %q", location)
	}
	problem = errors.Join(problem, g.set(r, "k8s.cluster.name", "instance/attributes/cluster-name"), g.set(r, "host.id", "instance/id"))
	_ = g.set(r, "host.name", "instance/name") // not there with workload identity
	return notHereAfter(r, problem)
}

// function sets what the metadata server says about a function or an application.
func (g gcp) function(r *Resource, instance, zone bool) error {
	region, err := g.last("instance/region")
	switch {
	case err == nil:
		r.Set("cloud.region", region)
	case zone:
		err = g.zone(r)
	}
	if zone && err == nil {
		err = g.zone(r)
	}
	if instance {
		err = errors.Join(err, g.set(r, "faas.instance", "instance/id"))
	}
	return notHereAfter(r, err)
}

func (g gcp) machine(r *Resource) error {
	kind, err := g.last("instance/machine-type")
	if err != nil {
		return notHereAfter(r, err) // another platform: the project is known
	}
	r.setAll("cloud.platform", "gcp_compute_engine", "host.type", kind)
	return notHereAfter(r, errors.Join(g.zone(r), g.set(r, "host.id", "instance/id"), g.set(r, "host.name", "instance/name"),
		g.set(r, "gcp.gce.instance.hostname", "instance/hostname"), g.set(r, "gcp.gce.instance.name", "instance/name"), g.group(r)))
}

func (g gcp) set(r *Resource, key, path string) error {
	if !r.wanted(key) {
		return nil
	}
	v, err := g.get(path)
	if err == nil {
		r.Set(key, v)
	}
	return err
}

// zone sets the zone and its region: europe-west1-b is in europe-west1.
func (g gcp) zone(r *Resource) error {
	zone, err := g.last("instance/zone")
	if err != nil {
		return err
	}
	parts := strings.SplitN(zone, "-", 3)
	if len(parts) != 3 {
		return fmt.Errorf("expected a zone such as europe-west1-b, found %q", zone)
	}
	r.setAll("cloud.availability_zone", zone, "cloud.region", parts[0]+"-"+parts[1])
	return nil
}

var createdBy = regexp.MustCompile(`^projects/[^/]+/(zone|region)s/([^/]+)/instanceGroupManagers/([^/]+)$`)

// group sets the group that created the machine.
func (g gcp) group(r *Resource) error {
	by, err := g.get("instance/attributes/created-by")
	if answered(err, http.StatusNotFound) {
		return nil
	}
	if m := createdBy.FindStringSubmatch(by); m != nil {
		r.setAll("gcp.gce.instance_group_manager.name", m[3], "gcp.gce.instance_group_manager."+m[1], m[2])
	}
	return err
}
