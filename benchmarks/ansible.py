"""The reads of a plan as an Ansible playbook, as one would write it by hand."""

import os
from pathlib import Path

from benchmarks.runs import ROOT, Used, use

_COMMAND = ROOT / ".venv-ansible" / "bin" / "ansible-playbook"
_PLAYBOOK = """\
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    platform: "{{ lookup('env', 'PICSELLIA_CUSTOM_ENV') }}"
    signed_in: {Authorization: "Bearer {{ lookup('env', 'PICSELLIA_TOKEN') }}"}
  tasks:
    - name: Find the organization
      ansible.builtin.uri:
        url: "{{ platform }}/api/organizations/find?name={{ lookup('env', 'PICSELLIA_ORGANIZATION') }}"
        headers: "{{ signed_in }}"
      register: organization

    - name: Read the processings
      ansible.builtin.uri:
        url: "{{ platform }}/api/organization/{{ organization.json.id }}/processings?limit=100&offset=0"
        headers: &organization
          Authorization: "{{ signed_in.Authorization }}"
          X-Picsellia-Organization: "{{ organization.json.id }}"
      register: processings

    - name: Read the inputs of each processing
      ansible.builtin.uri:
        url: "{{ platform }}/api/processing/{{ item.id }}/inputs?limit=100&offset=0"
        headers: *organization
      loop: "{{ processings.json['items'] }}"
      loop_control: {label: "{{ item.name }}"}
      register: inputs

    - name: Compare with what is wanted
      ansible.builtin.assert:
        that:
          - >-
            processings.json['items'] | map(attribute='docker_tag') | unique == ['latest']
          - >-
            inputs.results | map(attribute="json.count") | unique == [5]
        quiet: true
"""


def version() -> str:
    """The package and its version."""
    found = next((ROOT / ".venv-ansible").glob("lib/*/site-packages/ansible_core-*.dist-info"))
    return f"ansible-core {found.name.removesuffix('.dist-info').partition('-')[2]}"


def read_all(folder: Path) -> Used:
    """Read each processing of the platform, at most 100, and its inputs. Writes nothing."""
    book = folder / "read.yml"
    book.write_text(_PLAYBOOK)
    environment = os.environ | {"HOME": str(folder), "ANSIBLE_PIPELINING": "true"}
    return use([str(_COMMAND), book.name], folder, environment)
