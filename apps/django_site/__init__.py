"""The site that both Django apps serve: settings, models, templates and views, as `startproject` lays them out."""
