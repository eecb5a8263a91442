package detect

import (
	"cmp"
	"context"
	"fmt"
	"strings"
)

const azureURL = "http://169.254.169.254/metadata/instance/compute?format=json&api-version=2020-09-01"

// azureVM is the answer of the instance metadata service of Azure.
type azureVM struct {
	Location          string `json:"location"`
	Name              string `json:"name"`
	VMID              string `json:"vmId"`
	VMSize            string `json:"vmSize"`
	SubscriptionID    string `json:"subscriptionId"`
	ResourceGroupName string `json:"resourceGroupName"`
	VMScaleSetName    string `json:"vmScaleSetName"`
	AvailabilityZone  string `json:"zone"`
	OSProfile         struct {
		ComputerName string `json:"computerName"`
	} `json:"osProfile"`
	TagsList []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"tagsList"`
}

func (h *Host) azure(ctx context.Context) (vm azureVM, err error) {
	if err := h.json(ctx, azureURL, map[string]string{"Metadata": "true"}, &vm); err != nil {
		return vm, notHere("ask the instance metadata service of Azure: %w", err)
	}
	return vm, nil
}

func detectAzure(ctx context.Context, h *Host, o Options, r *Resource) error {
	vm, err := h.azure(ctx)
	if err != nil {
		return err
	}
	r.setAll("cloud.provider", "azure", "cloud.platform", "azure.vm", "cloud.region", vm.Location, "host.id", vm.VMID,
		"cloud.account.id", vm.SubscriptionID, "azure.vm.name", vm.Name, "azure.vm.size", vm.VMSize, "azure.resourcegroup.name", vm.ResourceGroupName)
	setNonEmpty(r, "host.name", cmp.Or(vm.OSProfile.ComputerName, vm.Name), "cloud.availability_zone", vm.AvailabilityZone,
		"azure.vm.scaleset.name", vm.VMScaleSetName)
	for _, tag := range vm.TagsList {
		if o.matches(tag.Name) {
			r.Add("azure.tag."+tag.Name, tag.Value)
		}
	}
	return nil
}

func detectAKS(ctx context.Context, h *Host, _ Options, r *Resource) error {
	if h.env("KUBERNETES_SERVICE_HOST") == "" {
		return notHere("KUBERNETES_SERVICE_HOST is not set")
	}
	vm, err := h.azure(ctx)
	if err != nil {
		return err
	}
	r.setAll("cloud.provider", "azure", "cloud.platform", "azure.aks", "k8s.cluster.name", aksCluster(vm.ResourceGroupName))
	return nil
}

// aksCluster returns the name of the cluster in MC_GROUP_CLUSTER_LOCATION, the name of the
// resource group of its machines.
func aksCluster(group string) string {
	if parts := strings.Split(group, "_"); len(parts) == 4 && strings.EqualFold(parts[0], "mc") {
		return parts[2]
	}
	return group
}

func detectAppService(_ context.Context, h *Host, _ Options, r *Resource) error {
	site := h.env("WEBSITE_SITE_NAME")
	if site == "" {
		return notHere("WEBSITE_SITE_NAME is not set")
	}
	if h.env("FUNCTIONS_EXTENSION_VERSION") != "" {
		return notHere("FUNCTIONS_EXTENSION_VERSION is set: this is an Azure Function")
	}
	r.setAll("cloud.provider", "azure", "cloud.platform", "azure.app_service", "service.name", site)
	subscription, _, _ := strings.Cut(h.env("WEBSITE_OWNER_NAME"), "+")
	group := h.env("WEBSITE_RESOURCE_GROUP")
	id := ""
	if subscription != "" && group != "" {
		id = fmt.Sprintf("/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Web/sites/%s", subscription, group, site)
	}
	setNonEmpty(r, "cloud.region", h.env("REGION_NAME"), "azure.app_service.instance.id", h.env("WEBSITE_INSTANCE_ID"),
		"deployment.environment.name", h.env("WEBSITE_SLOT_NAME"), "cloud.account.id", subscription,
		"azure.resource_group.name", group, "cloud.resource_id", id)
	return nil
}

func detectContainerApps(_ context.Context, h *Host, _ Options, r *Resource) error {
	name := h.env("CONTAINER_APP_NAME")
	if name == "" {
		return notHere("CONTAINER_APP_NAME is not set")
	}
	r.setAll("cloud.provider", "azure", "cloud.platform", "azure.container_apps", "service.name", name)
	setNonEmpty(r, "azure.container_app.instance.id", h.env("CONTAINER_APP_REPLICA_NAME"))
	return nil
}
