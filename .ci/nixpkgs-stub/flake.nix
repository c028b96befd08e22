{
  description = "Stands in for nixpkgs, so that our flake can be evaluated without a network";

  outputs = { self }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ];
      of = system:
        let
          package = name: derivation { inherit name system; builder = "/bin/sh"; };
        in
        {
          inherit system;
          nodejs_22 = package "nodejs";
          python3 = package "python3";
          gnumake = package "gnumake";
          gcc = package "gcc";
          git = package "git";
          nixpkgs-fmt = package "nixpkgs-fmt";
          mkShell = { packages }: derivation { name = "shell"; inherit system; builder = "/bin/sh"; inputs = packages; };
          writeShellApplication = { name, runtimeInputs, text }:
            derivation { inherit name system text; builder = "/bin/sh"; inputs = runtimeInputs; };
        };
    in
    {
      legacyPackages = builtins.listToAttrs (map (system: { name = system; value = of system; }) systems);
    };
}
