{
  description = "Causeway keeps a coding agent attached";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.05";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ];
      forEach = build: builtins.listToAttrs (map
        (system: { name = system; value = build nixpkgs.legacyPackages.${system}; })
        systems);
      # What an install needs: Node with npm, and a C++ compiler for the SQLite binding.
      tools = pkgs: [ pkgs.nodejs_22 pkgs.python3 pkgs.gnumake pkgs.gcc pkgs.git ];
    in
    {
      devShells = forEach (pkgs: {
        default = pkgs.mkShell { packages = tools pkgs ++ [ pkgs.nixpkgs-fmt ]; };
      });

      # A launcher: the first start installs this source, by its lock file, into the user's cache.
      packages = forEach (pkgs: {
        default = pkgs.writeShellApplication {
          name = "causeway";
          runtimeInputs = tools pkgs;
          text = ''
            home="''${XDG_CACHE_HOME:-$HOME/.cache}/causeway/${builtins.baseNameOf (toString self)}"
            if [ ! -e "$home/.installed" ]; then
              echo "causeway: installing into $home (once)" >&2
              rm -rf "$home" && mkdir -p "$home"
              cp -R ${self}/. "$home" && chmod -R u+w "$home"
              (cd "$home" && npm ci >&2)
              touch "$home/.installed"
            fi
            exec node "$home/apps/bridge" "$@"
          '';
        };
      });

      apps = forEach (pkgs: {
        default = {
          type = "app";
          program = "${self.packages.${pkgs.system}.default}/bin/causeway";
        };
      });
    };
}
