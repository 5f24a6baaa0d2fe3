package compose

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDependencies(t *testing.T) {
	const file = `
name: shop
services:
  api:
    image: x
    depends_on:
      db: {condition: service_healthy, restart: true}
      cache: {condition: service_started}
      migrate: {condition: service_completed_successfully, required: false}
      debug: {condition: service_started, required: false}
    volumes: ["./code:/code:ro", "files:/files:ro"]
  cache: {image: x, links: ["db", "db:database"], volumes: ["./code:/code:ro"]}
  db: {image: x, volumes: ["data:/data", "/etc/ssl:/ssl"]}
  debug: {image: x, profiles: [debug]}
  migrate: {image: x, volumes: ["files:/files", "files:/again:ro", "/tmp"]}
  side:
    image: x
    network_mode: "service:db"
    ipc: "service:db"
    pid: "service:cache"
    volumes_from: ["db:ro", "container:other"]
    volumes: ["/etc/ssl:/ssl:ro"]
  both: {image: x, network_mode: "service:db", depends_on: {db: {condition: service_healthy}}}
volumes: {data: , files: }
`
	plan, err := loadAndPlan(t.Context(), Options{Files: []string{"-"}, Stdin: strings.NewReader(file), Environment: []string{}}, PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range plan.Dependencies {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %s required=%t restart=%t %s", d.Client, d.Target, d.Kind, d.Condition, d.Required, d.Restart, d.Detail)))
	}
	want := []string{
		"api cache depends_on service_started required=true restart=false",
		"api db depends_on service_healthy required=true restart=true",
		"api migrate depends_on service_completed_successfully required=false restart=false",
		"api migrate volumes  required=false restart=false files",
		"both db depends_on service_healthy required=true restart=false",
		"both db network_mode  required=false restart=false",
		"cache db links  required=false restart=false",
		"cache db links  required=false restart=false database",
		"db side volumes  required=false restart=false /etc/ssl",
		"side cache pid  required=false restart=false",
		"side db ipc  required=false restart=false",
		"side db network_mode  required=false restart=false",
		"side db volumes_from  required=false restart=false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dependencies (-want +got):\n%s", diff)
	}
}
